// Line icons on a 20 × 20 grid, drawn for this page.
const PATHS = {
  copy: 'M7 7h9v10H7zM13 7V3H4v10h3',
  check: 'M4 10.5l4 4 8-9',
  close: 'M5 5l10 10M15 5L5 15',
  people: 'M7.5 9a2.8 2.8 0 100-5.6 2.8 2.8 0 000 5.6zM2 16.5c.4-3 2.5-4.8 5.5-4.8s5.1 1.8 5.5 4.8M13.2 3.8a2.6 2.6 0 010 5M15 12c1.7.7 2.8 2.2 3 4.5',
  invite: 'M8.5 9.5a3 3 0 100-6 3 3 0 000 6zM2.5 17c.5-3.2 2.8-5 6-5 1.3 0 2.5.3 3.5.9M15 11.5v6M12 14.5h6',
  menu: 'M10 4.5v.010M10 10v.010M10 15.5v.010',
  undo: 'M7 4L3.5 7.5 7 11M4 7.5h7.5a4.5 4.5 0 010 9H8',
  redo: 'M13 4l3.5 3.5L13 11M16 7.5H8.5a4.5 4.5 0 000 9H12',
  pen: 'M4 16l1-4 8.5-8.5 3 3L8 15zM11.5 5.5l3 3',
  eraser: 'M7.5 16.5L3.5 12.5 11 5l5 5-6.5 6.5zM7.5 16.5H17M7 9l5 5',
  hand: 'M7 11V5.5a1.3 1.3 0 012.6 0V9M9.6 8.5V4.3a1.3 1.3 0 012.6 0V9M12.2 8.5V5.5a1.3 1.3 0 012.6 0V12c0 3.3-1.7 5.3-4.6 5.3-2.5 0-3.6-1.2-4.6-3L4 11.5a1.2 1.2 0 012-1.2L7 11.5',
  plus: 'M10 4v12M4 10h12',
  minus: 'M4 10h12',
  fit: 'M3.5 7.5v-4h4M16.5 7.5v-4h-4M3.5 12.5v4h4M16.5 12.5v4h-4',
  download: 'M10 3v9.5M6 9l4 4 4-4M4 16.5h12',
  camera: 'M3 6.5h3L7.5 4.5h5L14 6.5h3v9.5H3zM10 13.5a2.7 2.7 0 100-5.4 2.7 2.7 0 000 5.4z',
  share: 'M10 12V3M6.5 6L10 2.8 13.5 6M5.5 9.5H4v7.5h12V9.5h-1.5',
  text: 'M4 5h12M4 10h12M4 15h7',
  brush: 'M3 16.5c3 .5 5-.5 5-2.5a2 2 0 00-2-2c-2 0-1.5 2.5-3 4.5zM7.5 12L16 3.5M9 13.5L17 5',
  leave: 'M12 5V3.5H4v13h8V15M8.5 10H17M14 7l3 3-3 3',
  moon: 'M16 12.2A6.7 6.7 0 017.8 4a6.7 6.7 0 108.2 8.2z',
  info: 'M10 9v5M10 6v.010M10 17.5a7.5 7.5 0 100-15 7.5 7.5 0 000 15z',
  search: 'M9 14.5a5.5 5.5 0 100-11 5.5 5.5 0 000 11zM13 13l4 4',
  arrow: 'M4 10h11M11 6l4 4-4 4',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
