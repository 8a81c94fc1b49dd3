/** The few DOM helpers that draw the page; each is typed and does nothing clever. */
import { disposable, type Disposable, type DisposableBag } from '../shared/disposable.ts';

export type Child = Node | string | null;
export type Attributes = Readonly<Record<string, string | boolean | null>>;

/** A piece of the page: an element that is updated in place, so that focus and selection survive. */
export interface Component<T> extends Disposable {
  readonly element: HTMLElement;
  update(value: T): void;
}

/** Creates an element. An attribute of `true` is set empty; `false` and `null` are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** As `el`, for SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: readonly Node[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children);
  return element;
}

/** Writes the attribute only if it changes: a screen reader announces, and a transition starts, on writes. */
export function setAttribute(element: Element, name: string, value: string | boolean | null): void {
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : value;
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Writes the text only if it changes (see setAttribute). */
export function setText(element: Node, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Listens until `bag` is disposed. */
export function listen<K extends keyof HTMLElementEventMap>(
  bag: DisposableBag,
  target: HTMLElement,
  type: K,
  listener: (event: HTMLElementEventMap[K]) => void,
  options?: AddEventListenerOptions,
): void {
  target.addEventListener(type, listener, options);
  bag.add(disposable(() => target.removeEventListener(type, listener, options)));
}

/** Puts `children` into `parent` in this order, moving only what is out of place. */
export function placeChildren(parent: HTMLElement, children: readonly HTMLElement[]): void {
  children.forEach((child, index) => {
    const there = parent.children.item(index);
    if (there !== child) parent.insertBefore(child, there);
  });
  while (parent.children.length > children.length) parent.lastElementChild?.remove();
}

/** Draws a list: one component per key, kept while the key stays. */
export function keyedList<T>(
  parent: HTMLElement,
  keyOf: (item: T) => string,
  create: (item: T) => Component<T>,
): { update(items: readonly T[]): void } & Disposable {
  const components = new Map<string, Component<T>>();
  return {
    update(items) {
      const keys = new Set(items.map(keyOf));
      for (const [key, component] of components) {
        if (keys.has(key)) continue;
        component.element.remove();
        component.dispose();
        components.delete(key);
      }
      const elements = items.map((item) => {
        const key = keyOf(item);
        let component = components.get(key);
        if (component === undefined) {
          component = create(item);
          components.set(key, component);
        }
        component.update(item);
        return component.element;
      });
      placeChildren(parent, elements);
    },
    dispose() {
      for (const component of components.values()) component.dispose();
      components.clear();
    },
  };
}
