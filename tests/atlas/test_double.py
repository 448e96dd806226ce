"""A network of double precision is scanned, and its units projected, as the same one of single precision is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explorer.atlas.patches import Patch, patches_and_projections
from explorer.atlas.picture_sets import UnseenPictures
from explorer.atlas.scan import ScanJob, scan_steps
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork

PICTURES, LAYER = UnseenPictures(24), "features.6"


def nine(network: LoadedNetwork) -> tuple[Patch, ...]:
    """Those of one unit, over the first pictures."""
    job = ScanJob.of("zfnet_mini", network, PICTURES, [LAYER], 8)
    *_, scan = scan_steps(job, workers=1)
    ((_, patches),) = patches_and_projections(network, PICTURES, scan.of(LAYER), LAYER, [3])
    return patches


def test_the_nine_and_their_projections_are_the_same() -> None:
    single = catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu")
    expected = nine(single)
    module = single.module.double()
    found = nine(replace(single, module=module, program=trace(module, (3, 64, 64))))
    assert [patch.picture for patch in found] == [patch.picture for patch in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.projection is not None
        assert other.projection is not None
        np.testing.assert_allclose(one.projection, other.projection, rtol=1e-3, atol=1e-4)
