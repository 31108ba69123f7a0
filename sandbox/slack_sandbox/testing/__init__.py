"""What the tests of a bot import: a fixture, apps on Bolt, manifests, requests, pages in a browser, Slack's shapes."""
