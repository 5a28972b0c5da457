// Creates elements of a page.

// The children are elements, or texts that become text nodes.
export function make(tag, properties = {}, ...children) {
    const { attributes = {}, ...rest } = properties;
    const element = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(attributes)) {
        element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
}
