"""A person compares six methods with their curves, takes one more, and comes back to the same page by its link."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle

MAPS = "[data-testid=stMain] [data-testid=stImage] img"


def test_six_methods_with_curves_and_one_more(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=attribution")
    expect(page.get_by_text("Which one the network agrees with")).to_be_visible(timeout=60_000)
    wait_until_idle(page)
    maps = page.get_by_role("img", name=re.compile("^(Occlusion|Deconvnet|Saliency|Integrated|SmoothGrad|Grad-CAM)"))
    expect(maps).to_have_count(6)
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
    expect(page.locator(".js-plotly-plot").first.locator(".legendtext")).to_have_count(6)
    with page.expect_download() as download:
        page.get_by_role("button", name="Saliency (NPY)").click()
    assert np.load(download.value.path()).shape == (64, 64)
    page.get_by_role("button", name="DeepLift", exact=True).click()
    expect(page).to_have_url(re.compile("methods=[^&]*deeplift"))
    expect(page.locator(".js-plotly-plot").first.locator(".legendtext")).to_have_count(7, timeout=60_000)
    page.reload()
    wait_until_idle(page)
    expect(page.get_by_role("img", name=re.compile("^DeepLift"))).to_be_visible(timeout=60_000)


def test_a_run_is_stopped_and_keeps_the_methods_that_were_done(server: str, page: Page) -> None:
    # The first of eight methods is soon there, and the others take far longer than the way to the button.
    later = "integrated_gradients,smoothgrad,gradcam,layercam,deeplift,gradient_shap"
    methods = f"methods=saliency,input_x_gradient,{later}"
    page.goto(f"{server}/?preset=squeezenet1_1&weights=random&view=attribution&{methods}")
    main = page.get_by_test_id("stMain")
    main.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("img", name=re.compile("^Saliency")).first).to_be_visible(timeout=60_000)
    main.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Saliency")).first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^GradientShap"))).to_have_count(0)
