# What the tests need of the packages feed's rust-package.mk.
RUST_ARCH_DEPENDS:=@(rust)
CARGO_PKG_PROFILE:=release
define Build/Compile/Cargo
	@echo cargo install --profile $(CARGO_PKG_PROFILE) --features $(RUST_PKG_FEATURES) $(2)
endef
define RustBinPackage
called+=RustBinPackage $(1)
endef
