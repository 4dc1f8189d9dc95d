/** What a text means as JSON; `undefined` when it is none. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** An object or an array that was written as JSON, and every other text as it stands: `2026` is a title too. */
export function textOrStructure(text: string): unknown {
  const value = /^\s*[[{]/.test(text) ? readJson(text) : undefined
  return value ?? text
}
