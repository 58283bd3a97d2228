"""The pages as a person uses them, in Chromium."""

from __future__ import annotations

import json
import shutil

import pytest

from getnet_bids.reports.group import MEASURES, ImageRow, group_page, write_group_report
from getnet_bids.reports.subject import write_subject_report

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
ROWS = 10_000


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def show(browser, page, width=1280):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def cuts(browser):
    """Return the share of each picture that is shown before correction, from the left, as the browser has it."""
    script = "return [...document.querySelectorAll('.pair .after')].map(i => getComputedStyle(i).maskImage)"
    return [image.split("rgba(0, 0, 0, 0) ")[1].split(",")[0] for image in browser.execute_script(script)]


def test_before_and_after_by_mouse_and_keyboard(browser, derived):
    from selenium.webdriver.common.keys import Keys

    _, out = derived(ONE, "sub-01/anat/sub-01_T2w.nii.gz")
    show(browser, write_subject_report(out, "01"))
    assert cuts(browser) == ["50%", "50%"]
    find(browser, ".pair")[0].click()
    assert cuts(browser) == ["0%", "50%"]
    find(browser, "body")[0].send_keys("f")
    assert cuts(browser) == ["100%", "100%"]
    slider = find(browser, ".cut")[1]
    slider.send_keys(Keys.ARROW_LEFT * 3)
    assert cuts(browser) == ["100%", "97%"]
    assert slider.get_attribute("aria-valuetext") == "left 97 % before"
    find(browser, ".flip")[0].send_keys(Keys.ENTER)
    assert cuts(browser) == ["0%", "97%"]
    box = find(browser, ".outlined")[0]
    outline = find(browser, ".pair .outline")[0]
    assert not outline.is_displayed()
    box.send_keys(Keys.SPACE)
    assert outline.is_displayed()


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out(browser, derived, width):
    _, out = derived(ONE)
    for page in (write_subject_report(out, "01"), write_group_report(out)[2]):
        show(browser, page, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_text_from_files_does_not_run(browser, derived):
    _, out = derived(ONE)
    path = out / "sub-01/anat/sub-01_desc-preproc_T1w.json"
    content = json.loads(path.read_text())
    evil = "</script><img src=x onerror=document['title']='hacked'><script>document.title='hacked'</script>"
    content["Sources"] = ["bids:raw:sub-01/anat/<img src=x onerror=document['title']='hacked'>_T1w.nii.gz"]
    content["GetNet"].update(Device=evil, Remarks=[evil])
    path.write_text(json.dumps(content))
    for page in (write_subject_report(out, "01"), write_group_report(out)[2]):
        show(browser, page)
        assert "hacked" not in browser.title
        assert "onerror" in find(browser, "body")[0].text


def test_a_table_of_many_rows(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys

    images = []
    for i in range(ROWS):
        values = dict.fromkeys(MEASURES, 1 + i % 997 / 1000)
        images.append(ImageRow(f"sub-02/anat/sub-02_run-{i}_T1w.nii.gz", "sub-02", "", "T1w", "done", values))
    page = tmp_path / "group_metrics.html"
    page.write_text(group_page(images, tmp_path))
    show(browser, page)
    assert find(browser, "#count")[0].text == f"{ROWS} of {ROWS} images"
    assert len(find(browser, "#table tbody tr")) < 100
    browser.execute_script("const box = document.getElementById('big'); box.scrollTop = box.scrollHeight")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert find(browser, "#table tbody tr:last-child td")[0].text == f"sub-02_run-{ROWS - 1}_T1w"
    button = find(browser, "#table th:last-child button")[0]
    assert button.text == "Seconds"
    button.send_keys(Keys.ENTER)
    cells = "return [...document.querySelectorAll('#table tbody td:last-child')].map(cell => cell.textContent)"
    values = [float(text) for text in browser.execute_script(cells) if text]
    assert values == sorted(values, reverse=True)
    assert find(browser, "#table th:last-child")[0].get_attribute("aria-sort") == "descending"
    find(browser, "#text")[0].send_keys("run-77_")
    assert find(browser, "#count")[0].text == f"1 of {ROWS} images"
    links = find(browser, "#table tbody a")
    assert [link.get_attribute("href").rpartition("/")[2] for link in links] == ["sub-02.html#sub-02_run-77_T1w"]
