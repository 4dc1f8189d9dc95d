/** Any value as JSON. What JSON cannot represent becomes a string, never an error. */
export function encode(value: unknown): string {
  try {
    return JSON.stringify(value, plain) ?? 'null'
  } catch {
    const path: unknown[] = []
    try {
      return JSON.stringify(value, withoutCycles(path)) ?? 'null'
    } catch (error) {
      return JSON.stringify(`[not to be written as JSON: ${String(error)}]`)
    }
  }
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

/** `path` holds the objects that the value at hand is in. */
function withoutCycles(path: unknown[]) {
  return function (this: unknown, key: string, value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return plain(key, value)
    while (path.length > 0 && path.at(-1) !== this) path.pop()
    if (path.includes(value)) return '[circular]'
    path.push(value)
    return value
  }
}

/** At most so many bytes of UTF-8, for texts that the server would refuse whole. */
export function cut(text: string, bytes: number): string {
  // A character has at most three bytes for each of its UTF-16 units.
  if (text.length * 3 <= bytes) return text
  const encoded = new TextEncoder().encode(text)
  if (encoded.length <= bytes) return text
  // The last character may have been cut in two.
  return `${new TextDecoder().decode(encoded.subarray(0, bytes - 3)).replace(/\uFFFD$/, '')}…`
}
