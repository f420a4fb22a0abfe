import * as Y from 'yjs'
import { Awareness } from 'y-protocols/awareness'
import { Room, SymbolonProvider } from 'symbolon'
import { edit } from './editor.js'

const names = { user: 'bench', deviceName: 'browser', wasm: new URL('symbolon_web_bg.wasm', location.href) }

async function open() {
  const ticket = location.hash.slice(1)
  const opening = ticket
    ? Room.join(ticket, names)
    : Room.create({ ...names, name: 'bench', servers: [location.search.slice(1)] })
  const doc = new Y.Doc()
  const awareness = new Awareness(doc)
  edit(doc, awareness)
  const room = await opening
  const provider = new SymbolonProvider(doc, room, { awareness })
  await provider.whenSynced
  window.invite = async (uses) => (await room.invite({ uses })).ticket
  window.ready = true
}

open().catch((error) => { window.failed = String(error) })
