#!/usr/bin/env python3
"""Uses the page of `medtune serve` in Chromium as a person would: asks, stops, offers options, enters a key.

    check_page.py target/release/medtune models/base --browser /usr/bin/chromium [--pictures DIR]

Prints a JSON verdict; exits with 1 when a check fails or the page said anything on the browser's console.
Needs playwright and a Chromium."""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from playwright.sync_api import sync_playwright

KEY = "a-key-for-the-check-only"
HOSTILE = "<img src=x onerror=\"document.title='broken'\"></script><script>document.title='broken'</script>"


def serve(args, key):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, **({"MEDTUNE_API_KEY": KEY} if key else {})}
    command = [args.medtune, "serve", args.model, "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{url}/health").read()
            return server, url
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit("the server does not answer")


def until(page, expression, seconds=60):
    """Playwright's own waiting evaluates text inside the page, which the page's security policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"still not: {expression}"
        time.sleep(0.02)


def asked(page, question, tokens="40"):
    page.fill("#question", question)
    page.fill("#tokens", tokens)
    page.click("#ask")
    until(page, "!document.getElementById('ask').disabled")


def answers(page):
    asked(page, "What is asthma?")
    first = page.text_content("#answer")
    assert first.strip() and "tokens in" in page.text_content("#timings"), first
    asked(page, "What is asthma?")
    assert page.text_content("#answer") == first, "the same question, temperature and seed"
    return {"answer": first[:80], "timings": page.text_content("#timings"), "facts": page.text_content("#facts")}


def stops(page):
    page.fill("#question", "Tell me all about the heart.")
    page.fill("#tokens", "900")
    page.click("#ask")
    until(page, "document.getElementById('answer').textContent.length > 20")
    # Playwright's click waits for the page to keep still, which it does not while a text is written.
    at = page.evaluate("(() => { document.getElementById('stop').click(); return document.getElementById('answer').textContent.length; })()")
    until(page, "!document.getElementById('ask').disabled", 5)
    assert page.is_hidden("#stop") and page.is_hidden("#error")
    written = len(page.text_content("#answer"))
    assert written < at + 200, f"{at} characters when it was stopped, {written} in the end"
    return {"at": at, "written": written}


def rates_options(page):
    inputs = page.locator("#options input")
    texts = ["Insulin", "Aspirin", HOSTILE]
    while inputs.count() < len(texts):
        page.click("#more")
    for place, text in enumerate(texts):
        inputs.nth(place).fill(text)
    asked(page, "Which drug lowers blood sugar?")
    shares = page.locator(".bar .share").all_text_contents()
    widths = page.locator(".bar .fill").evaluate_all("all => all.map(e => e.style.width)")
    assert len(shares) == 3 and abs(sum(float(s.split()[0]) for s in shares) - 100) < 0.3, shares
    assert page.locator(".bar.best").count() == 1 and all(widths), widths
    assert page.title() == "medtune", "text of a person became markup"
    for place in range(len(texts)):
        inputs.nth(place).fill("")
    return {"shares": shares}


def says_what_is_wrong(page):
    page.fill("#question", "")
    page.click("#ask")
    page.wait_for_selector("#error:not([hidden])", timeout=5_000)
    return {"error": page.text_content("#error")}


def takes_a_key(page):
    assert page.is_visible("#keyrow"), "a page without a key asks for one"
    page.fill("#key", KEY)
    page.click("#enter")
    until(page, "document.getElementById('model').options.length > 0", 5)
    asked(page, "What is asthma?", "10")
    assert page.text_content("#answer").strip()
    assert KEY not in page.content() and page.evaluate("localStorage.length + sessionStorage.length") == 0
    return {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model")
    parser.add_argument("--browser", required=True)
    parser.add_argument("--pictures", type=pathlib.Path)
    args = parser.parse_args()
    verdict, failed = {}, False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.browser, args=["--no-sandbox"])
        for key, checks in ((False, [answers, stops, rates_options, says_what_is_wrong]), (True, [takes_a_key])):
            server, url = serve(args, key)
            try:
                page = browser.new_page(viewport={"width": 900, "height": 1000})
                said = []
                page.on("console", lambda message: said.append(message.text))
                page.on("pageerror", lambda error: said.append(str(error)))
                page.goto(url)
                page.wait_for_load_state("networkidle")
                for check in checks:
                    try:
                        verdict[check.__name__] = check(page)
                    except Exception as error:
                        verdict[check.__name__], failed = {"failed": str(error)[:500]}, True
                    if args.pictures:
                        page.screenshot(path=args.pictures / f"{check.__name__}.png")
                # The browser itself reports responses that are errors; two of them are asked for here.
                said = [text for text in said if "the server responded with a status of 4" not in text]
                verdict[f"console with{'' if key else 'out'} key"], failed = said, failed or bool(said)
                page.goto(f"{url}/docs")
                verdict["docs"] = page.title()
            finally:
                server.terminate()
                server.wait(10)
        browser.close()
    print(json.dumps(verdict, indent=1, ensure_ascii=False))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
