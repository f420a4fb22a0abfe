// The editor that both pages share, and the clock that both are measured by.
import { EditorState } from '@codemirror/state'
import { EditorView } from '@codemirror/view'
import { yCollab } from 'y-codemirror.next'

/** Shows `text:main` of `doc` and tells when what it shows changes. */
export function edit(doc, awareness) {
  const text = doc.getText('text:main')
  const view = new EditorView({
    state: EditorState.create({ doc: text.toString(), extensions: [yCollab(text, awareness), EditorView.lineWrapping] }),
    parent: document.body
  })
  const seen = []
  const look = () => {
    const length = view.contentDOM.textContent.length
    for (let n = seen.length; n < length; n++) seen.push(now())
  }
  new MutationObserver(look).observe(view.contentDOM, { childList: true, subtree: true, characterData: true })
  look()
  Object.assign(window, {
    seen,
    shown: () => view.contentDOM.textContent,
    type: (character) => {
      const at = now()
      view.dispatch({ changes: { from: view.state.doc.length, insert: character } })
      return at
    }
  })
}

/** Milliseconds on the clock that all pages of this machine share. */
export function now() {
  return performance.timeOrigin + performance.now()
}
