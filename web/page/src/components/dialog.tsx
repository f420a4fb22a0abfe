import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from './icons';

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

/** A modal dialog: the browser keeps the focus in it and gives it back afterwards. */
export function Dialog({ title, onClose, children, class: name = '' }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    return () => {
      const back = before instanceof HTMLElement && before !== document.body && before.isConnected ? before : whereToGoOn();
      back?.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={name}
      aria-labelledby={heading}
      onClose={onClose}
      onMouseDown={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id={heading} tabIndex={-1}>
            {title}
          </h2>
          <button class="bare" type="button" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

/** When what opened the dialog is gone: to the text, but where that would bring up a keyboard to the tabs. */
function whereToGoOn(): HTMLElement | null {
  const typing = matchMedia('(pointer: fine)').matches ? document.querySelector<HTMLElement>('.panel:not([hidden]) .editor') : null;
  return typing ?? document.querySelector<HTMLElement>('[role=tab][aria-selected=true]');
}
