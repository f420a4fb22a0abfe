import type { ComponentChildren } from 'preact';
import type { Trouble } from '../words';
import { Icon } from './icons';

interface Props {
  trouble: Trouble;
  /** `alert` is read out at once, for what stops people; `note` is for what they can go on with. */
  tone?: 'alert' | 'note';
  onRetry?: (() => void) | undefined;
  onDismiss?: (() => void) | undefined;
  children?: ComponentChildren;
}

export function Problem({ trouble, tone = 'alert', onRetry, onDismiss, children }: Props) {
  return (
    <div class={`problem ${tone}`} role={tone === 'alert' ? 'alert' : 'status'}>
      <Icon name="info" />
      <div class="problem-words">
        <p>
          <strong>{trouble.title}</strong>
        </p>
        <p>{trouble.text}</p>
        {(onRetry || children) && (
          <p class="row">
            {onRetry && (
              <button class="small" type="button" onClick={onRetry}>
                Try again
              </button>
            )}
            {children}
          </p>
        )}
      </div>
      {onDismiss && (
        <button class="bare" type="button" aria-label="Dismiss" onClick={onDismiss}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}
