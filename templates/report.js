"use strict";
// Everything works without this: it adds a switch of colours and buttons that copy code, and unfolds what is printed.
(() => {
  const root = document.documentElement;
  const modes = ["auto", "light", "dark"];
  let mode = "auto";
  try { mode = localStorage.getItem("report-colours") || "auto"; } catch { /* storage may be forbidden */ }
  const apply = () => {
    if (!modes.includes(mode)) mode = "auto";
    if (mode === "auto") delete root.dataset.theme; else root.dataset.theme = mode;
  };
  apply();

  const button = (name, label) => {
    const element = document.createElement("button");
    element.type = "button";
    element.className = name;
    element.textContent = label;
    return element;
  };

  const addSwitch = () => {
    const element = button("theme", "");
    const name = () => { element.textContent = "Colours: " + mode; };
    name();
    element.addEventListener("click", () => {
      mode = modes[(modes.indexOf(mode) + 1) % modes.length];
      apply();
      name();
      try { localStorage.setItem("report-colours", mode); } catch { /* it lasts as long as the page */ }
    });
    document.body.append(element);
  };

  const copy = (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied ? Promise.resolve() : Promise.reject();
  };

  const addCopyButtons = () => {
    for (const code of document.querySelectorAll(".code pre > code")) {
      const element = button("copy", "Copy");
      element.setAttribute("aria-label", "Copy this code");
      element.addEventListener("click", () => {
        const say = (text) => { element.textContent = text; setTimeout(() => { element.textContent = "Copy"; }, 1500); };
        copy(code.textContent).then(() => say("Copied"), () => say("Not copied"));
      });
      code.parentElement.after(element);
    }
  };

  const markSection = () => {
    const links = new Map();
    for (const link of document.querySelectorAll(".contents.wide a")) links.set(link.hash.slice(1), link);
    const headings = [...document.querySelectorAll("article [id], #provenance")].filter((e) => links.has(encodeURIComponent(e.id)) || links.has(e.id));
    let current = null;
    const update = () => {
      let last = null;
      for (const heading of headings) if (heading.getBoundingClientRect().top < 120) last = heading;
      const link = last && (links.get(last.id) || links.get(encodeURIComponent(last.id)));
      if (link === current) return;
      if (current) current.removeAttribute("aria-current");
      if (link) link.setAttribute("aria-current", "true");
      current = link;
    };
    addEventListener("scroll", update, { passive: true });
    update();
  };

  addEventListener("DOMContentLoaded", () => { addSwitch(); addCopyButtons(); markSection(); });

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open]):not(.contents)")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
})();
