import { expect, type Page } from '@playwright/test'

const widths = [390, 768, 1440, 1920]
const themes = ['light', 'dark'] as const

/** What can be seen to be wrong with a layout, wherever the page is, in words. */
export function layoutFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found = new Set<string>()
    const controls = 'a[href], button, input, select, textarea, summary, [role="button"], [role="tab"], [role="option"]'
    const name = (element: Element) => {
      const said = element.getAttribute('aria-label') ?? element.textContent ?? ''
      const where = [element.parentElement?.parentElement, element.parentElement, element]
        .filter((one) => one != null)
        .map((one) => `${one.tagName.toLowerCase()}${[...one.classList].map((each) => `.${each}`).join('')}`)
      return `${where.join(' > ')} “${said.trim().slice(0, 40)}”`
    }
    const isHidden = (element: Element) =>
      !element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true }) ||
      element.closest('.visually-hidden, .said, .skip-link, [inert]') !== null
    const ancestors = function* (element: Element) {
      for (let one: Element | null = element; one !== null && one !== document.body; one = one.parentElement) yield one
    }
    const scrolls = (value: string) => value === 'auto' || value === 'scroll'
    const clips = (value: string) => value === 'hidden' || value === 'clip'
    /** Drawn by itself, larger than its window on purpose. */
    const isDrawn = (element: Element) => element.closest('.react-flow, .minimap, .gantt, svg, canvas, .uplot') !== null

    /** Stays at an edge of the window: what is below it can be scrolled out of there. */
    const isStuck = (element: Element) =>
      [...ancestors(element)].some((one) => getComputedStyle(one).position === 'sticky')

    if (document.documentElement.scrollWidth > innerWidth)
      found.add(`the page is ${document.documentElement.scrollWidth - innerWidth} px wider than its window`)

    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const range = document.createRange()
    while (texts.nextNode()) {
      const parent = texts.currentNode.parentElement
      if (parent === null || texts.currentNode.textContent?.trim() === '' || isHidden(parent) || isDrawn(parent))
        continue
      if (parent.closest('option, script, style, textarea, [aria-hidden="true"]') !== null) continue
      range.selectNodeContents(texts.currentNode)
      const box = range.getBoundingClientRect()
      if (box.width === 0) continue
      let [canScrollX, canScrollY, isTold] = [false, false, false]
      for (const one of ancestors(parent)) {
        const style = getComputedStyle(one)
        const edge = one.getBoundingClientRect()
        if (one.hasAttribute('title') || style.textOverflow === 'ellipsis' || style.webkitLineClamp !== 'none')
          isTold = true
        if (scrolls(style.overflowX)) canScrollX = true
        if (scrolls(style.overflowY)) canScrollY = true
        if (style.position === 'fixed') break
        if (isTold) continue
        // What is wholly hidden is not cut.
        if (clips(style.overflowY) && (box.top >= edge.bottom || box.bottom <= edge.top)) break
        const beyond = Math.max(box.right - edge.right, edge.left - box.left)
        const below = Math.max(box.bottom - edge.bottom, edge.top - box.top)
        if (!canScrollX && clips(style.overflowX) && beyond > 1)
          found.add(`cut by ${Math.round(beyond)} px: ${name(parent)}`)
        if (!canScrollY && clips(style.overflowY) && below > 3) found.add(`cut below: ${name(parent)}`)
      }
      if (!canScrollX && !isTold && (box.right > innerWidth + 1 || box.left < -1)) found.add(`outside: ${name(parent)}`)
    }

    const canvas = document.createElement('canvas').getContext('2d')
    const width = (text: string, style: CSSStyleDeclaration) => {
      if (canvas === null) return 0
      canvas.font = style.font
      return canvas.measureText(text).width
    }
    for (const field of document.querySelectorAll<HTMLInputElement>('input[placeholder]')) {
      if (isHidden(field) || field.value !== '' || field.title !== '') continue
      const style = getComputedStyle(field)
      const room = field.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight)
      const over = width(field.placeholder, style) - room
      if (over > 1 && style.textOverflow !== 'ellipsis')
        found.add(`placeholder cut by ${Math.round(over)} px: “${field.placeholder}”`)
    }
    for (const field of document.querySelectorAll('select')) {
      const style = getComputedStyle(field)
      const said = field.selectedOptions[0]?.text ?? ''
      const over = width(said, style) - field.clientWidth
      if (!isHidden(field) && over > 1 && style.textOverflow !== 'ellipsis')
        found.add(`selected cut by ${Math.round(over)} px: “${said}”`)
    }

    const shown = [...document.querySelectorAll(controls)].filter((element) => !isHidden(element) && !isDrawn(element))
    const dialog = [...document.querySelectorAll('dialog[open], :popover-open')].at(-1)
    const boxes = shown
      .filter((element) => dialog === undefined || dialog.contains(element))
      .map((element) => ({ element, box: element.getBoundingClientRect() }))
      .filter(({ element, box }) => {
        for (const one of ancestors(element)) {
          const { overflowX, overflowY, position } = getComputedStyle(one)
          const edge = one.getBoundingClientRect()
          if (one === element) continue
          // What is scrolled away is not in anybody's way.
          if (overflowY !== 'visible' && (box.bottom > edge.bottom + 1 || box.top < edge.top - 1)) return false
          if (overflowX !== 'visible' && (box.right > edge.right + 1 || box.left < edge.left - 1)) return false
          if (position === 'fixed') break
        }
        return box.width > 0 && box.height > 0
      })
    for (const [index, one] of boxes.entries()) {
      const [x, y] = [one.box.left + one.box.width / 2, one.box.top + one.box.height / 2]
      if (one.box.right > innerWidth + 1 || one.box.left < -1) found.add(`outside: ${name(one.element)}`)
      const small = Math.min(one.box.width, one.box.height)
      const label = one.element.closest('label')?.getBoundingClientRect()
      const isEnough = small >= 23.5 || (label !== undefined && Math.min(label.width, label.height) >= 23.5)
      // As WCAG 2.5.8: nothing else to press within twelve pixels of its middle.
      const isAlone = (other: { element: Element; box: DOMRect }) =>
        other === one ||
        other.element.contains(one.element) ||
        one.element.contains(other.element) ||
        Math.hypot(
          Math.max(other.box.left - x, 0, x - other.box.right),
          Math.max(other.box.top - y, 0, y - other.box.bottom),
        ) >= 12
      if (!isEnough && !boxes.every(isAlone))
        found.add(`small, ${Math.round(one.box.width)} × ${Math.round(one.box.height)}: ${name(one.element)}`)
      for (const other of boxes.slice(index + 1)) {
        if (one.element.contains(other.element) || other.element.contains(one.element)) continue
        const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left)
        const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top)
        if (isStuck(one.element) !== isStuck(other.element)) continue
        if (across > 1 && down > 1) found.add(`overlap: ${name(one.element)} and ${name(other.element)}`)
      }
      if (y < 0 || y > innerHeight || x < 0 || x > innerWidth) continue
      const hit = document.elementFromPoint(x, y)
      const isReached =
        hit === null ||
        isStuck(hit) ||
        one.element.contains(hit) ||
        hit.contains(one.element) ||
        hit.closest('label')?.contains(one.element) === true
      if (!isReached) found.add(`covered: ${name(one.element)} by ${name(hit)}`)
    }
    return [...found]
  })
}

/** Two widths and both themes, which are others in the next turn; with RELIVE_ALL_LOOKS all of them in both. */
function looksOf(turn: number) {
  if (process.env['RELIVE_ALL_LOOKS'] !== undefined)
    return widths.flatMap((width) => themes.map((theme) => [width, theme] as const))
  const [first, second] = turn % 4 < 2 ? themes : themes.toReversed()
  return turn % 2 === 0
    ? ([
        [390, first],
        [1440, second],
      ] as const)
    : ([
        [768, first],
        [1920, second],
      ] as const)
}

/** Adds what is wrong with the page that is open, once it has settled. */
export async function look(page: Page, where: string, turn: number, found: string[]): Promise<void> {
  for (const [width, colorScheme] of looksOf(turn)) {
    await page.setViewportSize({ width, height: width < 500 ? 844 : 900 })
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    try {
      await expect(async () => expect(await layoutFaults(page)).toEqual([])).toPass({ timeout: 2000 })
    } catch {
      found.push(...(await layoutFaults(page)).map((fault) => `${where}, ${width}, ${colorScheme}: ${fault}`))
    }
  }
}

export async function open(page: Page, address: string): Promise<void> {
  await page.goto(address)
  await expect(page.locator('#content')).toBeVisible()
  await page.waitForLoadState('networkidle')
}
