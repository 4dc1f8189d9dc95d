/** A random UUID. `crypto.randomUUID` is missing in browsers on pages that did not come by https. */
export function randomId(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID()
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** A UUID of version 7: those made later sort later, to the millisecond. */
export function timeOrderedId(): string {
  const time = Date.now().toString(16).padStart(12, '0')
  const random = randomId()
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`
}
