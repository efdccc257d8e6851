from shop import page

print(page({"apples & pears": 399, "plums": 250}))
