"""Who may talk to the server."""

from __future__ import annotations

import pytest

from engine.errors import InvalidSettings
from engine.server.app import create_app
from engine.settings import Settings
from tests.server.serving import chain, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "a token of some length"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
async def test_an_address_that_others_reach_needs_a_token(tmp_path, host):
    with pytest.raises(InvalidSettings, match="token"):
        create_app(Settings(data=tmp_path, host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
async def test_loopback_needs_none(tmp_path, host):
    create_app(Settings(data=tmp_path, host=host))


async def test_any_address_is_fine_with_a_token(tmp_path):
    create_app(Settings(data=tmp_path, host="0.0.0.0", token=TOKEN))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8188", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8188", 200),
        ("192.168.0.7:8188", 200),
        ("my.box", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example:8188", 403),
        ("[bad", 403),
        ("", 403),
    ],
)
async def test_the_host_must_be_one_of_ours(host, status, api):
    async with api.get("/livez", headers={"Host": host}) as response:
        assert response.status == status


async def test_a_foreign_host_reads_nothing_either(api):
    for path in ("/", "/object_info", "/history", "/view?filename=x.png", "/api/v1/jobs", "/openapi.json"):
        async with api.get(path, headers={"Host": "evil.example"}) as response:
            assert response.status == 403, path


OWN = [
    {},
    {"Origin": "SELF"},
    {"Origin": "SELF", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]
FOREIGN = [
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "file://"},
    {"Origin": "chrome-extension://127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "SELF", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://[bad"},
]


def _headers(api, headers):
    own = f"http://{api.host}:{api.port}"
    return {name: own if value == "SELF" else value for name, value in headers.items()}


@pytest.mark.parametrize("headers", OWN)
async def test_own_pages_and_programs_may_change_things(api, headers):
    async with api.post("/queue", data="{}", headers=_headers(api, headers)) as response:
        assert response.status == 200


@pytest.mark.parametrize("headers", FOREIGN)
async def test_foreign_pages_may_change_nothing(api, headers):
    headers = _headers(api, headers)
    posts = (
        "/prompt",
        "/api/prompt",
        "/queue",
        "/interrupt",
        "/free",
        "/history",
        "/upload/image",
        "/upload/mask",
        "/settings",
        "/userdata/x",
    )
    for path in posts:
        async with api.post(path, data='{"prompt": {}}', headers=headers) as response:
            assert response.status == 403, path
    async with api.put("/api/v1/files/input/x.png", data=b"x", headers=headers) as response:
        assert response.status == 403
    async with api.delete("/userdata/x", headers=headers) as response:
        assert response.status == 403
    async with api.get("/ws", headers={**headers, "Connection": "Upgrade", "Upgrade": "websocket"}) as response:
        assert response.status == 403


async def test_every_route_that_changes_something_refuses_foreign_pages(api):
    checked = 0
    for route in api.server.app.router.routes():
        if route.method in ("GET", "HEAD", "OPTIONS"):
            continue
        path = route.resource.canonical.replace("{", "").replace("}", "")
        async with api.request(route.method, path, headers={"Origin": "null"}, data=b"{}") as response:
            assert response.status == 403, (route.method, path)
        checked += 1
    assert checked > 30


async def test_without_the_token_nothing_is_to_be_had(data):
    async with serving(data, token=TOKEN) as api:
        for route in api.server.app.router.routes():
            path = route.resource.canonical.replace("{", "").replace("}", "")
            if path in ("/style/theme.css", "/favicon.svg"):
                continue
            async with api.request(route.method, path, allow_redirects=False) as response:
                assert response.status == 401, (route.method, path)
        for value in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", TOKEN):
            async with api.get("/livez", headers={"Authorization": value}) as response:
                assert response.status == 401, value
        await api.json("GET", "/livez", headers={"Authorization": f"Bearer {TOKEN}"})
        await api.json("GET", "/livez", headers={"Authorization": f"bearer {TOKEN}"})


async def test_a_browser_logs_in_with_the_token_and_gets_a_cookie(data):
    async with serving(data, token=TOKEN) as api:
        async with api.get("/") as response:
            assert response.status == 401 and 'name="token"' in await response.text()
        async with api.post("/login", data={"token": "wrong"}) as response:
            assert response.status == 401
        async with api.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"}) as response:
            assert response.status == 403
        async with api.post("/login", data={"token": TOKEN}, allow_redirects=False) as response:
            assert response.status == 303
            cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        value = cookie.split(";")[0]
        api.session.cookie_jar.clear()
        await api.json("GET", "/livez", headers={"Cookie": value})
        async with api.get("/livez", headers={"Cookie": value[:-1] + ("0" if value[-1] != "0" else "1")}) as response:
            assert response.status == 401
        socket = await api.ws_connect("/ws", headers={"Cookie": value})
        await socket.close()


async def test_the_token_is_not_given_to_the_worker_or_told(data):
    settings = Settings(data=data, token=TOKEN)
    assert TOKEN not in settings.for_worker()
    async with serving(data, token=TOKEN) as api:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for path in ("/system_stats", "/api/v1/version", "/object_info", "/features"):
            async with api.get(path, headers=headers) as response:
                assert TOKEN not in await response.text()


async def test_every_answer_says_what_it_may_do_in_a_browser(api):
    for path in ("/", "/object_info", "/nonesuch", "/view?filename=nothing.png", "/api/v1/docs"):
        async with api.get(path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            policy = response.headers["Content-Security-Policy"]
            assert "unsafe-inline" not in policy and "unsafe-eval" not in policy and "default-src" in policy
            assert response.headers["X-Frame-Options"] == "DENY"


async def test_the_limits_of_a_body_hold(data):
    async with serving(data, max_body=20_000, max_nodes=20, max_depth=10) as api:
        await api.json("POST", "/prompt", 413, data=b" " * 30_000)
        await api.json("PUT", "/api/v1/files/input/large.bin", 413, data=b"x" * 30_000)
        assert "large.bin" not in [path.name for path in (data / "input").iterdir()]
        many = await api.queue(chain(30), 413)
        assert many["error"]["type"] == "quota_exceeded" and "20" in many["error"]["message"]
        deep = '{"prompt": ' + "[" * 11 + "]" * 11 + "}"
        assert (await api.json("POST", "/prompt", 413, data=deep))["error"]["type"] in ("quota_exceeded", "invalid_prompt")
