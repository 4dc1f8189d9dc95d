/**
 * Words that are read out and not seen, in the middle of a name. Unlike an `aria-label` they leave what is seen a part
 * of the name, for those who say what they see; unlike `visually-hidden` they are inline, so that no space comes
 * before a comma.
 */
export function Said({ children }: { children: string }) {
  return <span className="said">{children}</span>
}
