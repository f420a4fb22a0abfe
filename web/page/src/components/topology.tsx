// Who is linked with whom, as the members themselves tell it.
import type { Room, Topology as Graph } from 'symbolon';
import { colorOf, initials } from '../model/people';

type Edge = Graph['edges'][number];
type Names = ReadonlyMap<string, string>;

const SIZE = 240;
const RADIUS = 88;
const NODE = 17;

export function Topology({ room, names }: { room: Room; names: Names }) {
  const { present, edges } = room.topology();
  if (present.length < 2) return null;
  const own = room.members().find((member) => member.own)?.device;
  const at = places(present, own);
  const name = (device: string) => (device === own ? 'You' : (names.get(device) ?? 'somebody'));
  const order = { gap: 0, claimed: 1, confirmed: 2 };
  const drawn = [...edges].sort((a, b) => order[a.state] - order[b.state]);
  return (
    <section aria-labelledby="topology">
      <h2 id="topology">Connections</h2>
      <svg class="topology" role="img" aria-label={inShort(present, edges)} viewBox={`0 0 ${SIZE} ${SIZE}`}>
        {drawn.map((edge) => {
          const [a, b] = [at.get(edge.a), at.get(edge.b)];
          return (
            a &&
            b && (
              <line key={edge.a + edge.b} class={edge.state} x1={a.x} y1={a.y} x2={b.x} y2={b.y}>
                <title>{sentence(edge, name)}</title>
              </line>
            )
          );
        })}
        {present.map((device) => {
          const place = at.get(device);
          return (
            place && (
              <g key={device} transform={`translate(${place.x} ${place.y})`}>
                <title>{name(device)}</title>
                <circle r={NODE} fill={colorOf(device)} class={device === own ? 'own' : ''} />
                <text text-anchor="middle" dy="0.35em">
                  {initials(names.get(device) ?? '?')}
                </text>
              </g>
            )
          );
        })}
      </svg>
      <ul class="legend" aria-hidden="true">
        <li class="confirmed">both say so</li>
        {edges.some(({ state }) => state === 'claimed') && <li class="claimed">one says so</li>}
        {edges.some(({ state }) => state === 'gap') && <li class="gap">missing</li>}
      </ul>
      <details>
        <summary>As a list</summary>
        <ul class="edges" aria-label="Connections">
          {drawn.toReversed().map((edge) => (
            <li key={edge.a + edge.b} data-state={edge.state}>
              {sentence(edge, name)}
            </li>
          ))}
        </ul>
      </details>
    </section>
  );
}

/** On a circle, oneself at the top. */
function places(present: readonly string[], own: string | undefined): Map<string, { x: number; y: number }> {
  const ring = [...present].sort((a, b) => Number(b === own) - Number(a === own) || (a < b ? -1 : 1));
  return new Map(
    ring.map((device, i) => {
      const angle = (i / ring.length) * 2 * Math.PI - Math.PI / 2;
      const round = (value: number) => Math.round(value * 10) / 10;
      return [device, { x: round(SIZE / 2 + RADIUS * Math.cos(angle)), y: round(SIZE / 2 + RADIUS * Math.sin(angle)) }];
    }),
  );
}

function sentence(edge: Edge, name: (device: string) => string): string {
  const pair = `${name(edge.a)} – ${name(edge.b)}`;
  switch (edge.state) {
    case 'confirmed':
      return `${pair}: connected`;
    case 'claimed':
      return `${pair}: only ${edge.by ? name(edge.by).replace('You', 'you') : 'one side'} say${edge.by && name(edge.by) === 'You' ? '' : 's'} so`;
    case 'gap':
      return `${pair}: not connected, though they should be`;
  }
}

function inShort(present: readonly string[], edges: readonly Edge[]): string {
  const count = (state: Edge['state']) => edges.filter((edge) => edge.state === state).length;
  const parts = [`${present.length} people present`, `${count('confirmed')} connections confirmed`];
  if (count('claimed')) parts.push(`${count('claimed')} told by one side only`);
  if (count('gap')) parts.push(`${count('gap')} missing`);
  return parts.join(', ');
}
