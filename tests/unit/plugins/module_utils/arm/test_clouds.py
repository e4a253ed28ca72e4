# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import asyncio

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import clouds
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError

from .conftest import Answer

STACK = {
    "galleryEndpoint": "https://gallery.example",
    "authentication": {"loginEndpoint": "https://adfs.example/adfs/", "audiences": ["https://management.example/1234"]},
}


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("AzureCloud", "management.azure.com"),
        ("azurechinacloud", "management.chinacloudapi.cn"),
        ("AzureUSGovernment", "management.usgovcloudapi.net"),
    ],
)
def test_named_clouds_need_no_request(name, host):
    cloud = asyncio.run(clouds.find(name, None))
    assert (cloud.resource_manager, cloud.scope) == (f"https://{host}", f"https://{host}/.default")


def test_a_base_url_leads_to_the_metadata_document(place, talk):
    async def work(azure):
        return azure.cloud

    cloud = talk(work)
    url = place.cloud.url
    assert cloud == clouds.Cloud("StandIn", url, url, url, f"{url}/logs")
    assert place.cloud.asked("GET", "/metadata/endpoints")[0].query == {"api-version": "2022-09-01"}


def test_a_whole_url_is_read_as_it_is(place, talk):
    async def work(azure):
        return azure.cloud.name

    url = f"{place.cloud.url}/metadata/endpoints?api-version=2019-05-01"
    assert talk(work, {"cloud_environment": url}) == "StandIn"
    assert place.cloud.asked("GET", "/metadata/endpoints")[0].query == {"api-version": "2019-05-01"}


def test_an_older_document_names_neither_itself_nor_its_resource_manager():
    cloud = clouds.from_metadata(STACK, "https://management.local.example/metadata/endpoints?api-version=1.0")
    assert cloud.resource_manager == "https://management.local.example"
    assert (cloud.authority, cloud.scope) == ("https://adfs.example/adfs", "https://management.example/1234/.default")
    assert cloud.log_analytics is None


@pytest.mark.parametrize("environment", ["AzureCloudd", "http://management.example", "management.example", ""])
def test_a_name_that_is_none_is_told(environment):
    with pytest.raises(InputError, match="AzureChinaCloud"):
        asyncio.run(clouds.find(environment, None))


@pytest.mark.parametrize("document", [[], {}, "text", [{"resourceManager": "https://a.example"}]])
def test_a_document_that_tells_too_little_is_told(document):
    with pytest.raises(AzureError, match="loginEndpoint"):
        clouds.from_metadata(document, "https://a.example/metadata/endpoints")


@pytest.mark.parametrize("answer", [Answer(404), Answer(200, "{half", raw=True)], ids=["404", "no JSON"])
def test_a_document_that_cannot_be_read_is_told(place, talk, answer):
    place.cloud.on("GET", "/other", answer)
    with pytest.raises(AzureError) as caught:
        talk(None, {"cloud_environment": f"{place.cloud.url}/other"})
    assert caught.value.asked == "read the cloud's metadata document"
