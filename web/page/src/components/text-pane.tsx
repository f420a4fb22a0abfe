import { useEffect, useRef, useState } from 'preact/hooks';
import { download } from '../model/download';
import type { Opened } from '../model/room';
import { useAgain } from '../model/hooks';
import { Standing } from './standing';
import { tell } from './toasts';
import { Icon } from './icons';
import type { Editor } from '../editor/editor';

/** The shared text, with what a keyboard has and a phone has not. */
export function TextPane({ opened }: { opened: Opened }) {
  const host = useRef<HTMLDivElement>(null);
  const [editor, setEditor] = useState<Editor>();
  const again = useAgain();

  useEffect(() => {
    let made: Editor | undefined;
    let gone = false;
    void import('../editor/editor').then(({ openEditor }) => {
      if (gone || !host.current) return;
      made = openEditor(host.current, opened.doc, opened.awareness, opened.nameOf);
      made.undo.on('stack-item-added', again);
      made.undo.on('stack-item-popped', again);
      setEditor(made);
      if (matchMedia('(pointer: fine)').matches && document.activeElement === document.body) made.view.focus();
    });
    return () => {
      gone = true;
      made?.destroy();
      setEditor(undefined);
    };
  }, [opened]);

  const save = () => {
    const text = opened.doc.getText('text:main').toString();
    download(new Blob([text], { type: 'text/plain' }), `${opened.room.name}.txt`);
    tell('Text saved as a file.');
  };

  return (
    <>
      <div class="tools" role="toolbar" aria-label="Text">
        <button class="bare" type="button" aria-label="Undo" title="Undo (Ctrl+Z)" disabled={!editor?.undo.undoStack.length} onClick={() => editor?.undo.undo()}>
          <Icon name="undo" />
        </button>
        <button class="bare" type="button" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" disabled={!editor?.undo.redoStack.length} onClick={() => editor?.undo.redo()}>
          <Icon name="redo" />
        </button>
        <button class="bare" type="button" aria-label="Find" title="Find (Ctrl+F)" disabled={!editor} onClick={() => editor?.find()}>
          <Icon name="search" />
        </button>
        <button class="bare" type="button" aria-label="Save text as a file" title="Save as a file" onClick={save}>
          <Icon name="download" />
        </button>
        <Standing opened={opened} />
      </div>
      <div class="editor" ref={host} />
    </>
  );
}
