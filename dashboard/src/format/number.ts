const whole = new Intl.NumberFormat('en-US')

/** `18,402`, the same in every language, so that columns line up. */
export function count(value: number): string {
  return whole.format(value)
}

/** Four decimals below a dollar, since single calls cost little; two from there on. */
export function cost(usd: number): string {
  return `$${usd.toFixed(usd !== 0 && Math.abs(usd) < 1 ? 4 : 2)}`
}
