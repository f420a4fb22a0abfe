import { Icon, type IconName } from '../components/icons';
import { onDark } from './ink';
import type { Settings } from './canvas';
import type { Tool } from './pointer';

export const COLORS = [
  { value: '#1c2422', name: 'Ink' },
  { value: '#0b7a6f', name: 'Green' },
  { value: '#a8560a', name: 'Bronze' },
  { value: '#3b5bd0', name: 'Blue' },
  { value: '#c03a2b', name: 'Red' },
  { value: '#8d3fa0', name: 'Violet' },
] as const;
export const WIDTHS = [2, 4, 8, 16] as const;

const WIDTH_NAMES = ['Fine', 'Medium', 'Broad', 'Very broad'];
const TOOLS: { tool: Tool; name: string; icon: IconName; key: string }[] = [
  { tool: 'pen', name: 'Pen', icon: 'pen', key: 'P' },
  { tool: 'eraser', name: 'Eraser', icon: 'eraser', key: 'E' },
  { tool: 'hand', name: 'Move', icon: 'hand', key: 'H, or hold the space bar' },
];

interface Props {
  settings: Settings;
  dark: boolean;
  onChoose: (change: Partial<Settings>) => void;
}

export function PenTools({ settings, dark, onChoose }: Props) {
  const shown = (color: string) => (dark ? onDark(color) : color);
  const own = !COLORS.some(({ value }) => value === settings.color);
  return (
    <>
      <div class="group" role="group" aria-label="Tool">
        {TOOLS.map(({ tool, name, icon, key }) => (
          <button
            key={tool}
            class="bare"
            type="button"
            aria-label={name}
            title={`${name} (${key})`}
            aria-pressed={settings.tool === tool}
            onClick={() => onChoose({ tool })}
          >
            <Icon name={icon} />
          </button>
        ))}
      </div>
      <span class="rule" aria-hidden="true" />
      <div class="group" role="group" aria-label="Colour">
        {COLORS.map(({ value, name }) => (
          <button
            key={value}
            class="swatch"
            type="button"
            aria-label={name}
            title={name}
            aria-pressed={settings.color === value}
            style={{ '--swatch': shown(value) }}
            onClick={() => onChoose({ color: value, tool: 'pen' })}
          />
        ))}
        <label class={own ? 'swatch free chosen' : 'swatch free'} title="Another colour" style={own ? { '--swatch': shown(settings.color) } : {}}>
          <span class="visually-hidden">Another colour</span>
          <input type="color" value={settings.color} onInput={(event) => onChoose({ color: event.currentTarget.value, tool: 'pen' })} />
        </label>
      </div>
      <span class="rule" aria-hidden="true" />
      <div class="group" role="group" aria-label="Width">
        {WIDTHS.map((width, i) => (
          <button
            key={width}
            class="bare width"
            type="button"
            aria-label={WIDTH_NAMES[i]}
            title={`${WIDTH_NAMES[i]} ([ and ])`}
            aria-pressed={settings.width === width}
            onClick={() => onChoose({ width, tool: 'pen' })}
          >
            <span style={{ '--width': `${Math.min(18, width + 2)}px` }} aria-hidden="true" />
          </button>
        ))}
      </div>
    </>
  );
}
