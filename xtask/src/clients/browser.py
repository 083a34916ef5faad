"""A real browser (Chromium, driven by selenium) opens the page of `crashlens report`.

    browser.py PROGRAM DUMP PAGE.html [SCREENSHOTS]

Ends with 0 where the page works, else says what does not. With a folder, leaves screenshots there.
"""

import json
import pathlib
import re
import subprocess
import sys
import time

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PROGRAM, DUMP, PAGE = sys.argv[1:4]
SHOTS = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None


def check(what, is_so):
    if not is_so:
        sys.exit(f"page: {what}")


def data(line):
    """A command's JSON."""
    args = [PROGRAM, "-s", "--no-search", "--json", "-c", line, DUMP]
    return json.loads(subprocess.run(args, capture_output=True, text=True).stdout)["data"]


def browser(width, height, *more):
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}", *more):
        options.add_argument(word)
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def asks(driver):
    """The addresses that were asked for by the network."""
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    urls = (e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent")
    return [url for url in urls if not url.startswith(("file:", "data:", "chrome"))]


def open_page(driver):
    started = time.time()
    driver.get(pathlib.Path(PAGE).resolve().as_uri())
    return time.time() - started


def errors(driver):
    return [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def links(driver):
    dead = driver.execute_script("""
        const ids = new Set(Array.from(document.querySelectorAll("[id]"), (one) => one.id));
        return Array.from(document.querySelectorAll("a[href]"), (a) => a.getAttribute("href"))
            .filter((href) => !href.startsWith("#") || !ids.has(href.slice(1)));""")
    check(f"links that lead nowhere: {dead[:5]}", not dead)
    twice = driver.execute_script("""
        const ids = Array.from(document.querySelectorAll("[id]"), (one) => one.id);
        return ids.filter((id, n) => ids.indexOf(id) !== n).slice(0, 5);""")
    check(f"ids that are there twice: {twice}", not twice)


def filters(driver):
    rows = lambda: driver.execute_script("return document.querySelectorAll('#t-tasks tbody tr:not([hidden])').length")
    tasks = data("ps")["tasks"]
    check("not a row for each task", rows() == len(tasks))
    field = driver.find_element(By.CSS_SELECTOR, "[data-filter=t-tasks]")
    field.send_keys("kworker")
    check("the filter does not filter", rows() == sum("kworker" in task["command"] for task in tasks))
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(Keys.DELETE)
    check("the filter cannot be undone", rows() == len(tasks))
    head = driver.find_element(By.XPATH, "//table[@id='t-tasks']//button[.='Resident KB']")
    for sign in (1, -1):
        driver.execute_script("arguments[0].click()", head)
        column = driver.execute_script("return Array.from(document.querySelectorAll('#t-tasks tbody tr'), (r) => Number(r.cells[7].textContent))")
        check("the table is not sorted", column == sorted(column, key=lambda n: sign * n))

    messages = data("log")["messages"]
    shown = lambda: driver.execute_script("return document.querySelectorAll('.m:not([hidden])').length")
    check("not a line for each message", shown() == len(messages))
    driver.execute_script("const s=document.querySelector('[data-log=level]');s.value='3';s.dispatchEvent(new Event('input'))")
    check("the level does not filter", shown() == sum(m.get("level", 0) <= 3 for m in messages))
    driver.execute_script("const s=document.querySelector('[data-log=level]');s.value='7';s.dispatchEvent(new Event('input'))")
    fatal = driver.execute_script("return Array.from(document.querySelectorAll('.m.fatal'), (m) => m.textContent)")
    check(f"the fatal report is not marked: {fatal[:2]}", any("kernel BUG at" in text or "panic" in text.lower() for text in fatal))


def pictures(driver):
    sums = driver.execute_script("""
        const out = {};
        for (const one of document.querySelectorAll("figure.picture"))
            out[one.dataset.picture] = Array.from(one.querySelectorAll("rect"), (r) => [r.getAttribute("class"), Number(r.dataset.value), r.getBoundingClientRect().width]);
        return out;""")
    for name in ("timeline", "cpus", "memory", "slab", "stacks"):
        check(f"the picture {name} is empty", sums.get(name) and any(width > 0 for _, _, width in sums[name]))
    memory = data("kmem -i")["memory"]
    check("memory does not add up", sum(value for _, value, _ in sums["memory"]) == memory["total"])
    slabs = sum(cache["slabs"] * cache["slab_size"] for cache in data("kmem -s")["caches"])
    check("slabs do not add up", sum(value for _, value, _ in sums["slab"]) == slabs)
    stacks = data("stacks")["stacks"]
    check("stacks do not add up", sums["stacks"][0][1] == sum(stack["count"] for stack in stacks))
    timed = [m for m in data("log")["messages"] if isinstance(m.get("seconds"), (int, float))]
    drawn = driver.execute_script("return Array.from(document.querySelectorAll('[data-picture=timeline] rect'), (r) => [Number(r.getAttribute('y')), Number(r.dataset.value)])")
    check("messages do not add up", sum(value for y, value in drawn if y < 108) == len(timed))
    runs = data("ps -m")["tasks"]
    check("lanes do not add up", len(sums["cpus"]) == sum(isinstance(task["last_run_ago_ns"], int) for task in runs))


def copy_and_fold(driver):
    button = driver.find_element(By.CSS_SELECTOR, "#verdict > .cmd button")
    driver.execute_script("arguments[0].click()", button)
    time.sleep(0.3)
    check("the copy button does nothing", button.text == "copied")
    folded = driver.execute_script("""
        const inner = document.querySelector("#cpus details:not([open]) a[id]");
        if (!inner) return true;
        location.hash = inner.id;
        return new Promise((done) => setTimeout(() => done(inner.closest("details").open), 300));""")
    check("a link into what is folded does not open it", folded)


def shots(driver):
    if not SHOTS:
        return
    SHOTS.mkdir(parents=True, exist_ok=True)
    driver.get(pathlib.Path(PAGE).resolve().as_uri())
    driver.save_screenshot(str(SHOTS / "report.png"))
    for name in ("timeline", "memory", "stacks", "tasks"):
        driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", name)
        driver.save_screenshot(str(SHOTS / f"report-{name}.png"))


def static(text):
    """What the file itself must not have."""
    check("a reference to elsewhere", not re.search(r"(?:src|href|action|data)=[\"']?(?!#)[a-z]+:", text, re.I))
    check("a policy is missing", "default-src 'none'" in text)
    check(f"{len(text)} bytes", len(text) < 10_000_000)


static(pathlib.Path(PAGE).read_text(encoding="utf-8"))
driver = browser(1400, 1000)
try:
    took = open_page(driver)
    links(driver)
    filters(driver)
    pictures(driver)
    copy_and_fold(driver)
    check(f"script errors: {errors(driver)[:3]}", not errors(driver))
    asked = asks(driver)
    check(f"the page asks for {asked[:3]}", not asked)
    shots(driver)
finally:
    driver.quit()
driver = browser(390, 844, "--force-dark-mode", "--enable-features=WebContentsForceDark")
try:
    open_page(driver)
    wide = driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    check(f"on a phone the page is {wide} pixels too wide", wide <= 0)
    if SHOTS:
        driver.save_screenshot(str(SHOTS / "report-phone.png"))
finally:
    driver.quit()
print(f"page: opens in {took:.2f} s, links lead somewhere, filters filter, pictures add up")
