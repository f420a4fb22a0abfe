import * as Y from 'yjs'
import { WebrtcProvider } from 'y-webrtc'
import { edit } from './editor.js'

const [name, signaling] = location.hash.slice(1).split(',')
const doc = new Y.Doc()
const provider = new WebrtcProvider(name, doc, { signaling: [signaling], peerOpts: { config: { iceServers: [] } } })
edit(doc, provider.awareness)
window.ready = true
