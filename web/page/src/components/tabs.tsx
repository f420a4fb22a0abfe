import { Icon, type IconName } from './icons';

export interface Tab {
  id: string;
  label: string;
  icon: IconName;
  /** Only where there is no room beside it. */
  narrow?: boolean;
}

interface Props {
  tabs: Tab[];
  current: string;
  onChoose: (id: string) => void;
}

/** Arrow keys move between tabs, as screen reader users expect. */
export function Tabs({ tabs, current, onChoose }: Props) {
  const move = (event: KeyboardEvent, to: number) => {
    const shown = tabs.filter(({ id }) => document.getElementById(`tab-${id}`)?.offsetParent);
    const at = shown.findIndex(({ id }) => id === current);
    const next = shown[(at + to + shown.length) % shown.length];
    if (!next) return;
    event.preventDefault();
    onChoose(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label="What to show"
      onKeyDown={(event) => {
        if (event.key === 'ArrowRight') move(event, 1);
        if (event.key === 'ArrowLeft') move(event, -1);
      }}
    >
      {tabs.map(({ id, label, icon, narrow }) => (
        <button
          key={id}
          id={`tab-${id}`}
          class={narrow ? 'narrow-only' : ''}
          type="button"
          role="tab"
          aria-selected={id === current}
          aria-controls={`panel-${id}`}
          tabIndex={id === current ? 0 : -1}
          onClick={() => onChoose(id)}
        >
          <Icon name={icon} />
          <span>{label}</span>
        </button>
      ))}
    </div>
  );
}
