import { useId, useState } from 'preact/hooks';
import type { Theme } from '../model/prefs';
import { currentTheme, setTheme } from '../model/theme';

export function ThemeChoice() {
  const [theme, set] = useState(currentTheme);
  const id = useId();
  return (
    <p class="theme row">
      <label for={id}>Appearance</label>
      <select
        id={id}
        value={theme}
        onChange={(event) => {
          const next = event.currentTarget.value as Theme;
          setTheme(next);
          set(next);
        }}
      >
        <option value="auto">as the system</option>
        <option value="light">light</option>
        <option value="dark">dark</option>
      </select>
    </p>
  );
}
