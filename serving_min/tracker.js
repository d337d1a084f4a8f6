/* What visitors see and click (docs/sessions.md): nothing before consent, nor against Do Not Track or Global Privacy
   Control. */
((w, d, n) => {
  const me = d.currentScript.dataset, url = me.endpoint || new URL("/v1/events", d.currentScript.src);
  const refused = n.doNotTrack === "1" || n.globalPrivacyControl;
  let agreed, queue = [], timer, observer;
  const send = () => {
    timer = clearTimeout(timer);
    while (queue[0] && n.sendBeacon(url, JSON.stringify({ events: queue.slice(0, 50) }))) queue.splice(0, 50);
    if (queue[0]) timer = setTimeout(send, 9e3);
  };
  const note = (event, item, more) => {
    if (refused || !agreed || !me.user || queue.length > 499) return;
    const id = Array.from(crypto.getRandomValues(new Uint32Array(4)), String).join("-");
    queue.push({ id, user: me.user, item: item + "", event, time: Date.now() / 1e3 | 0, ...more });
    timer = timer || setTimeout(send, 2e3);
  };
  const noteElement = (event, { dataset: at }) =>
    note(event, at.recItem, { surface: at.recSurface, request_id: at.recRequest, position: +at.recPosition });
  const watch = () => observer && d.querySelectorAll("[data-rec-item]").forEach((item) => observer.observe(item));
  const consent = (given) => {
    agreed = given;
    if (!given) queue = [];
    else if (!observer) {
      observer = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
        if (!isIntersecting) return;
        observer.unobserve(target);
        noteElement("impression", target);
      }), { threshold: .5 });
      watch();
      if (me.item) note("view", me.item);
    }
  };
  d.addEventListener("click", ({ target }) => {
    const item = target.closest("[data-rec-item]");
    if (item) noteElement("click", item);
  }, true);
  d.addEventListener("visibilitychange", send);
  w.addEventListener("pagehide", send);
  w.recsys = { consent, note, watch };
  if (me.consent === "given") consent(true);
})(window, document, navigator);
