import { remember, remembered, type Theme } from './prefs';

export function currentTheme(): Theme {
  const theme = remembered('theme');
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

export function setTheme(theme: Theme): void {
  remember('theme', theme);
  applyTheme(theme);
  for (const listener of listeners) listener();
}

const system = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();

export function isDark(): boolean {
  const theme = currentTheme();
  return theme === 'dark' || (theme === 'auto' && system.matches);
}

export function onThemeChange(listener: () => void): () => void {
  listeners.add(listener);
  system.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    system.removeEventListener('change', listener);
  };
}
