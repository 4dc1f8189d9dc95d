import { ReliveSession } from './element.js'

export { ReliveSession } from './element.js'
export type { TokenRequest } from './token.js'

// Where there is no document, as on a server, the module can be loaded all the same.
if (typeof customElements !== 'undefined' && customElements.get('relive-session') === undefined) {
  customElements.define('relive-session', ReliveSession)
}
