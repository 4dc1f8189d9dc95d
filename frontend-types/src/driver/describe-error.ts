/** What is recorded of something that was thrown: its message, and where it came from. */
export function describeError(error: unknown): string {
  try {
    if (!(error instanceof Error)) return String(error)
    const message = `${error.name}: ${error.message}`
    const { stack } = error
    return typeof stack === 'string' && stack.includes(error.message) ? stack : message
  } catch {
    return 'something was thrown that cannot be described'
  }
}
