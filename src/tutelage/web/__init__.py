"""The studio's pages: only HTTP. Every page is a URL and a form; none needs a script."""
