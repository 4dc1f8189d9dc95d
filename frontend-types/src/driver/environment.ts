/** A variable of the environment, in Node, Bun and Deno; empty counts as not set. */
export function variable(name: string): string | undefined {
  try {
    const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } }
    return process?.env?.[name]?.trim() || undefined
  } catch {
    // Deno without the permission to read it.
    return undefined
  }
}

/** A switch, written as the server's settings are. */
export function isOn(name: string): boolean {
  return ['true', '1', 'yes', 'on'].includes(variable(name)?.toLowerCase() ?? '')
}
