"use strict";
(() => {
  document.documentElement.classList.add("live");
  const flips = [];
  for (const box of document.querySelectorAll(".pictures")) {
    const stage = box.querySelector(".pair");
    const range = box.querySelector(".cut");
    const shown = box.querySelector(".shown");
    const button = box.querySelector(".flip");
    const outlined = box.querySelector(".outlined");
    const show = () => {
      const share = Number(range.value);
      // Each slice shows the image before to the left of the cut, which follows the slider's thumb, and that after to its right.
      stage.style.setProperty("--cut", `${share}%`);
      const text = share === 0 ? "after" : share === 100 ? "before" : `left ${share} % before`;
      shown.textContent = share === 50 ? "left half before" : text;
      range.setAttribute("aria-valuetext", shown.textContent);
      button.setAttribute("aria-label", share === 0 ? "Flip: show before" : "Flip: show after");
    };
    const flip = () => {
      range.value = Number(range.value) === 0 ? 100 : 0;
      show();
    };
    range.addEventListener("input", show);
    button.addEventListener("click", flip);
    stage.addEventListener("click", flip);
    outlined.addEventListener("change", () => stage.classList.toggle("no-outline", !outlined.checked));
    stage.classList.add("no-outline");
    flips.push({ flip, range, show });
    show();
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type !== "range" && event.target.type !== "checkbox";
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.key.toLowerCase() !== "f" || !flips.length) return;
    const value = Number(flips[0].range.value) === 0 ? 100 : 0;
    for (const { range, show } of flips) {
      range.value = value;
      show();
    }
  });
})();
