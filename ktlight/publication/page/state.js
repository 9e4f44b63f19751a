// What the reader chose, kept in the part of the address after #, so that a link restores it.

const state = {
  parameters: new URLSearchParams(location.hash.slice(1)),

  get: (name) => state.parameters.get(name) ?? "",

  // Setting a choice to nothing forgets it.
  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value) state.parameters.set(name, value);
      else state.parameters.delete(name);
    }
    try {
      history.replaceState(null, "", `#${state.parameters}`);
    } catch {
      // inside another page, such as W&B's, the address may not be ours
    }
  },
};

// Links to sections scroll and leave the state alone; links such as #pair=a,b change that part of it only.
function followLinks(restore) {
  document.addEventListener("click", (event) => {
    const address = event.target.closest?.("a[href^='#']")?.getAttribute("href");
    if (!address) return;
    event.preventDefault();
    const section = byId(address.slice(1));
    if (section) {
      section.scrollIntoView();
      section.setAttribute("tabindex", "-1");
      section.focus({ preventScroll: true });
      return;
    }
    const choices = Object.fromEntries(new URLSearchParams(address.slice(1)));
    state.set(choices);
    restore();
    if (choices.pair) showPair();
  });
  addEventListener("hashchange", () => {
    state.parameters = new URLSearchParams(location.hash.slice(1));
    restore();
  });
}
