"""What a device is called, and what its network is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.headers.devices import Device, device_of
from gateway.core.rules.network_names import NetworkNames, Place, compile_networks

BLINK = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (f"{WINDOWS} {BLINK} Safari/537.36", ("Chrome", "Windows")),
        (f"{WINDOWS} {BLINK} Safari/537.36 Edg/142.0.0.0", ("Edge", "Windows")),
        (f"{WINDOWS} {BLINK} Safari/537.36 OPR/122.0.0.0", ("Opera", "Windows")),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", ("Firefox", "Linux")),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Safari/537.36", ("Chrome", "ChromeOS")),
        (
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
                " Version/18.6 Safari/605.1.15"
            ),
            ("Safari", "macOS"),
        ),
        (f"{IPHONE} Version/18.6 Mobile/15E148 Safari/604.1", ("Safari", "iPhone")),
        (f"{IPHONE} CriOS/142.0 Mobile/15E148 Safari/604.1", ("Chrome", "iPhone")),
        (
            (
                "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko)"
                " SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36"
            ),
            ("Samsung Internet", "Android"),
        ),
        ("curl/8.14.1", ("curl", "")),
        ("", ("", "")),
        ("<script>alert(1)</script>", ("", "")),
    ],
)
def test_devices(agent: str, device: tuple[str, str]):
    """[12.sessions]: what usual browsers say of themselves, in plain words."""
    assert device_of(agent) == Device(*device)


@given(st.text(max_size=1000))
def test_no_word_of_an_agent_is_told(agent: str):
    """[12.sessions]: whatever is sent, what is told of it is one of a few words of our own."""
    told = device_of(agent + " Chrome/1 Linux")
    assert {told.browser, told.system} <= {
        *("", "Edge", "Opera", "Samsung Internet", "Vivaldi", "Firefox", "Chrome", "curl", "Safari"),
        *("Windows", "iPhone", "iPad", "Android", "ChromeOS", "macOS", "Linux", "FreeBSD"),
    }


def test_nothing_beyond_a_bound_is_read():
    """[12.sessions]: a User-Agent may be as long as a head."""
    assert device_of("x" * 100_000 + "Firefox/1 Linux") == Device("", "")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.1.2.3", Place("named", "Office")),
        ("10.8.0.9", Place("named", "VPN")),
        ("::ffff:10.8.0.9", Place("named", "VPN")),
        ("2001:db8:1::5", Place("named", "Office")),
        ("192.0.2.1", Place("named", "Branch")),
        ("198.51.100.7", Place("here")),
        ("::ffff:198.51.100.7", Place("here")),
        ("192.168.7.7", Place("private")),
        ("127.0.0.1", Place("private")),
        ("fd00::1", Place("private")),
        ("8.8.8.8", Place("other")),
        ("2a00::1", Place("other")),
        ("unknown", Place("unknown")),
        ("", Place("unknown")),
        ("<b>" * 100, Place("unknown")),
    ],
)
def test_networks(address: str, place: Place):
    """[12.sessions]: the closest network with a name; else no closer than its kind."""
    named = {
        "Office": ("10.0.0.0/8", "2001:db8::/32"),
        "VPN": ("10.8.0.0/16",),
        "Branch": ("::ffff:192.0.2.0/120",),
    }
    assert compile_networks(named).place_of(address, "198.51.100.7") == place


def test_without_names():
    """[12.sessions]: nothing is named where nobody gives names."""
    assert NetworkNames().place_of("10.1.2.3", "10.9.9.9") == Place("private")
    assert compile_networks({}).place_of("8.8.8.8", "unknown") == Place("other")
