// What is there is painted first; then everything else is fetched.

const begin = () => import("/app.js");

if (document.hidden) begin(); // nobody looks, and nothing is painted
else requestAnimationFrame(() => setTimeout(begin));
