import { EditorView } from '@codemirror/view';

/** Follows the page's own tokens, which reach into the shadow root. */
export const theme = EditorView.theme({
  '&': { height: '100%', color: 'var(--ink)', backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--sans)', fontSize: '1.0625rem', lineHeight: '1.65', overflow: 'auto' },
  '.cm-content': {
    maxWidth: '44rem',
    margin: '0 auto',
    padding: '1.5rem var(--gutter, 1.25rem) 40vh',
    caretColor: 'var(--ink)',
    boxSizing: 'border-box',
    width: '100%',
  },
  '.cm-line': { padding: '0 2px' },
  '.cm-placeholder': { color: 'var(--ink-2)' },
  '.cm-cursor, .cm-dropCursor': { borderLeft: '2px solid var(--accent)' },
  '& > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground':
    { background: 'color-mix(in srgb, var(--accent) 24%, transparent)' },
  '.cm-panels': { backgroundColor: 'var(--sunken)', color: 'var(--ink)', border: '0' },
  '.cm-panels.cm-panels-top': { borderBottom: '1px solid var(--line)' },
  '.cm-panel.cm-search': { padding: '0.6rem 2.5rem 0.6rem 0.8rem', font: '0.9rem var(--sans)' },
  '.cm-panel.cm-search label': { fontSize: '0.85rem' },
  '.cm-panel.cm-search [name=close]': { fontSize: '1.4rem', padding: '0 0.5rem', color: 'var(--ink)', top: '0.4rem' },
  '.cm-panel.cm-search br': { display: 'none' },
  '.cm-textfield': {
    backgroundColor: 'var(--surface)',
    border: '1px solid var(--line-strong)',
    borderRadius: '0.4rem',
    padding: '0.35rem 0.5rem',
    fontSize: '0.9rem',
    color: 'inherit',
  },
  '.cm-button': {
    backgroundImage: 'none',
    backgroundColor: 'var(--surface)',
    border: '1px solid var(--line-strong)',
    borderRadius: '0.4rem',
    padding: '0.35rem 0.6rem',
    fontSize: '0.85rem',
    color: 'inherit',
  },
  '.cm-searchMatch': { backgroundColor: 'color-mix(in srgb, var(--bronze) 30%, transparent)' },
  '.cm-searchMatch-selected': { backgroundColor: 'color-mix(in srgb, var(--bronze) 60%, transparent)' },
  '.cm-specialChar': { color: 'var(--danger)' },
});
