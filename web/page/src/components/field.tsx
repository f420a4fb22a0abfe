import { useEffect, useId, useRef } from 'preact/hooks';

interface Props {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string | undefined;
  error?: string | undefined;
  placeholder?: string;
  autoComplete?: 'nickname' | 'off';
  required?: boolean;
  autoFocus?: boolean;
  maxLength?: number;
}

export function Field({ label, value, onInput, hint, error, autoFocus, autoComplete = 'off', ...rest }: Props) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (autoFocus) input.current?.focus();
  }, []);
  const about = error ?? hint;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...rest}
        ref={input}
        id={id}
        type="text"
        value={value}
        autoComplete={autoComplete}
        spellcheck={false}
        aria-invalid={error ? true : undefined}
        aria-describedby={about ? `${id}-about` : undefined}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {about && (
        <p id={`${id}-about`} class={error ? 'error' : 'hint'}>
          {about}
        </p>
      )}
    </div>
  );
}
