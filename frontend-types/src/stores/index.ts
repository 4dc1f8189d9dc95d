/**
 * What views of sessions share: stores that any number of components can listen to, and the parts they are made of.
 * `@relive/react` is made of them; with them other frameworks need as little.
 */
export { controlOf, type SessionControl } from './control.js'
export { atFrame, FrameStore, type Schedule } from './frame-store.js'
export { type ListState, ListStore } from './list-store.js'
export {
  asking,
  detached,
  type MessageBook,
  type MessageRun,
  messagesAtMost,
  noMessages,
  notAsking,
  refilled,
  saidBy,
  withAround,
  withEarlier,
  withLater,
  withNewest,
  withoutStreams,
  withStored,
  withTokens,
} from './message-book.js'
export { readBefore, readNewest } from './message-refill.js'
export { noReplay, ReplayStore, type ReplayView } from './replay-store.js'
export { ask, asReliveError, errorOf } from './requests.js'
export { type MessagesState, type SessionState, SessionStore, type Wants } from './session-store.js'
export { filtersKey, Stores } from './stores.js'
