/** Sets a custom property unless it has that value already: setting it computes the styles of all that is inside anew. */
export function setProperty(element: HTMLElement | null, name: `--${string}`, value: string): void {
  if (element !== null && element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value)
}
