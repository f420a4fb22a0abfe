// The token broken in two. `joined` brings the halves together.

export function Mark({ size = 32, joined = false, rim = false }: { size?: number; joined?: boolean; rim?: boolean }) {
  return (
    <svg class={joined ? 'mark joined' : 'mark'} viewBox="-4 0 108 100" width={size * 1.08} height={size} aria-hidden="true" focusable="false">
      <g class="mark-left">
        <path d="M56 4.4L45 28l13 18-16 20 11 14-7 15.8A46 46 0 1156 4.4z" />
        {rim && <path class="mark-rim" d="M52 13A37 37 0 1048 87" />}
      </g>
      <g class="mark-right">
        <path d="M56 4.4A46 46 0 0146 95.8L53 80 42 66 58 46 45 28z" />
        {rim && <path class="mark-rim" d="M54 13.3A37 37 0 0151 87" />}
      </g>
    </svg>
  );
}

export function Wordmark() {
  return (
    <span class="wordmark">
      <Mark size={28} />
      <span>Symbolon</span>
    </span>
  );
}
