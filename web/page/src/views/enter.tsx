import { useState } from 'preact/hooks';
import { Field } from '../components/field';
import { Icon } from '../components/icons';
import { Scan } from '../components/scan';
import { ticketIn } from '../model/route';
import { troubleOf } from '../words';

/** Joining by what one was sent: pasted, or scanned. */
export function EnterInvite({ onTicket }: { onTicket: (ticket: string) => void }) {
  const [text, setText] = useState('');
  const [bad, setBad] = useState(false);
  const [scanning, setScanning] = useState(false);

  const take = () => {
    const ticket = ticketIn(text);
    if (!ticket) return setBad(true);
    setText('');
    onTicket(ticket);
  };

  return (
    <section class="card" aria-labelledby="enter">
      <h2 id="enter">Join with an invite</h2>
      <form
        class="inline"
        onSubmit={(event) => {
          event.preventDefault();
          take();
        }}
      >
        <Field
          label="Invite link or ticket"
          value={text}
          onInput={(value) => {
            setText(value);
            setBad(false);
          }}
          placeholder="Paste it here"
          error={bad ? (text.trim() ? troubleOf('malformed_ticket').text : 'Paste the link that you were sent.') : undefined}
        />
        <button type="submit">Join</button>
      </form>
      <button class="link" type="button" onClick={() => setScanning(true)}>
        <Icon name="camera" /> Scan a QR code
      </button>
      {scanning && (
        <Scan
          onClose={() => setScanning(false)}
          onTicket={(ticket) => {
            setScanning(false);
            onTicket(ticket);
          }}
        />
      )}
    </section>
  );
}
