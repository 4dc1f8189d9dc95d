/**
 * The page `/embed/sessions/ID` of a server, for frames: the element, as large as the frame.
 *
 * The page around it gives a guest's token in the fragment (`#token=…`), and a new one by
 * `frame.contentWindow.postMessage({ type: 'relive:token', token }, server)` when it is sent `relive:token-needed`.
 */
import { linkedToken } from '../../../dashboard/src/access/fragment'
import { ReliveSession } from './element'
import './index'
import type { TokenRequest } from './token'

const sheet = new CSSStyleSheet()
sheet.replaceSync('html, body { height: 100%; margin: 0 } relive-session { height: 100% }')
document.adoptedStyleSheets = [sheet]

const element = new ReliveSession()
const query = new URLSearchParams(location.search)
// The fragment is taken out of the address, so that it is not kept in the history.
element.token = linkedToken()
element.src = location.href
const moment = query.get('revision') ?? query.get('at')
if (moment !== null) element.moment = moment

if (parent !== window) {
  // Without secrets: which pages may be around this one, the server has said.
  const tell = (type: string, more: object = {}) => parent.postMessage({ type, ...more }, '*')
  element.addEventListener('relive-token', (event) => {
    tell('relive:token-needed', { reason: (event as CustomEvent<TokenRequest>).detail.reason })
  })
  element.addEventListener('relive-change', () => tell('relive:change', { status: element.session?.status }))
  addEventListener(
    'message',
    ({ source, data }: MessageEvent<{ type?: unknown; token?: unknown; moment?: unknown } | null>) => {
      if (source !== parent || typeof data !== 'object' || data === null) return
      if (data.type === 'relive:token' && typeof data.token === 'string') element.token = data.token
      if (data.type === 'relive:moment') {
        element.moment = typeof data.moment === 'string' || typeof data.moment === 'number' ? data.moment : undefined
      }
    },
  )
}
document.body.append(element)
