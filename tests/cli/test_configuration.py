"""Where settings come from, and which source wins."""

from pathlib import Path

import pytest

from mobilesync.cli.configuration import FILE_BYTES_MAX, load_configuration
from mobilesync.cli.setting import BadSetting

APP = '[apps.shop]\nhs256_secret = "0123456789abcdef0123456789abcdef"\n'


@pytest.fixture
def file(elsewhere: Path) -> Path:
    path = elsewhere / "some.toml"
    path.write_text("port = 1000\napi_port = 2000\npayload_bytes_max = '4KiB'\n" + APP)
    return path


def test_without_anything_it_is_for_development(elsewhere: Path) -> None:
    chosen = load_configuration(None, {}, {})
    assert chosen.settings.mode == "development"
    assert chosen.settings.development_key
    assert chosen.apps == ()
    assert chosen.file is None
    assert set(chosen.sources.values()) == {"default"}


def test_file_then_environment_then_flag(file: Path) -> None:
    environment = {"MOBILESYNC_PORT": "1001", "MOBILESYNC_API_PORT": "2001", "PATH": "/bin"}
    chosen = load_configuration(file, environment, {"port": "1002", "api_port": None})
    assert (chosen.settings.port, chosen.settings.api_port) == (1002, 2001)
    assert chosen.settings.payload_bytes_max == 4096
    assert chosen.sources["port"] == "the flag --port"
    assert chosen.sources["api_port"] == "MOBILESYNC_API_PORT in the environment"
    assert chosen.sources["payload_bytes_max"] == "in some.toml"
    assert [app.name for app in chosen.apps] == ["shop"]


def test_production_has_defaults_of_its_own(file: Path) -> None:
    tls = {"tls_certificate": "c.pem", "tls_key": "k.pem"}
    chosen = load_configuration(file, {"MOBILESYNC_MODE": "production"}, tls)
    assert not chosen.settings.development_key
    assert not chosen.settings.create_biz_on_first_use


def test_the_file_is_found_by_name_or_by_the_environment(file: Path, elsewhere: Path) -> None:
    assert load_configuration(None, {"MOBILESYNC_CONFIG": str(file)}, {}).settings.port == 1000
    (elsewhere / "mobilesync.toml").write_text("port = 3000")
    assert load_configuration(None, {}, {}).settings.port == 3000
    assert load_configuration(file, {}, {}).settings.port == 1000


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("prot = 1", "unknown setting 'prot'", "did you mean port?"),
        ("app = 1", "unknown setting 'app'", "did you mean apps?"),
        ("[server]\nport = 1", "unknown setting 'server'", ""),
        ("port = 'x'", "port = 'x' (in some.toml)", "for example 7443"),
        ("port = 1\nport = 2", "is no TOML", ""),
        ("\x00", "is no TOML", ""),
        ("a = " + "[" * 5000, "is no TOML", ""),
        ("port = " + "9" * 5000, "is no TOML", ""),
        ("#" * (FILE_BYTES_MAX + 1), "too large", ""),
        ("mode = 'production'", "self-signed", "set tls_certificate"),
    ],
)
def test_mistakes_in_the_file(elsewhere: Path, text: str, message: str, hint: str) -> None:
    (elsewhere / "some.toml").write_text(text)
    with pytest.raises(BadSetting) as caught:
        load_configuration(elsewhere / "some.toml", {}, {})
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_cannot_be_read(elsewhere: Path) -> None:
    for path in (elsewhere / "missing.toml", elsewhere):
        with pytest.raises(BadSetting, match="cannot read"):
            load_configuration(path, {}, {})
    (elsewhere / "latin.toml").write_bytes(b'host = "\xff"')
    with pytest.raises(BadSetting, match="is no TOML"):
        load_configuration(elsewhere / "latin.toml", {}, {})


@pytest.mark.parametrize(
    "variable, hint",
    [
        ("MOBILESYNC_PROT", "did you mean MOBILESYNC_PORT?"),
        ("MOBILESYNC_port", "did you mean MOBILESYNC_PORT?"),
        ("MOBILESYNC_API_KEYS", "did you mean MOBILESYNC_API_KEY?"),
    ],
)
def test_a_misspelled_variable(elsewhere: Path, variable: str, hint: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load_configuration(None, {variable: "1"}, {})
    assert variable in caught.value.message
    assert caught.value.hint in {hint, "did you mean MOBILESYNC_API_PORT?"}


def test_variables_of_commands_are_no_settings(elsewhere: Path) -> None:
    load_configuration(None, {"MOBILESYNC_API_KEY": "x", "MOBILESYNC_API_URL": "y"}, {})
