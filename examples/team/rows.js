// Puts elements into a list in the wanted order.

// `wanted` are elements: those of the list that are not among them are removed,
// and those in their place are not touched, so that they keep the focus.
export function place(list, wanted) {
    const kept = new Set(wanted);
    const focused = list.contains(document.activeElement)
        ? document.activeElement : undefined;
    for (const each of [...list.children]) {
        if (!kept.has(each)) {
            each.remove();
        }
    }
    wanted.forEach((each, index) => {
        if (list.children[index] !== each) {
            list.insertBefore(each, list.children[index] ?? null);
        }
    });
    if (focused?.isConnected && focused !== document.activeElement) {
        focused.focus({ preventScroll: true });
    }
}
