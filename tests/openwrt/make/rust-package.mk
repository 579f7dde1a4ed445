# What the tests need of the packages feed's rust-package.mk.
RUST_ARCH_DEPENDS:=@(rust)
CARGO_PKG_PROFILE:=release
# $(1) the crate's folder, $(2) more arguments for cargo
define Build/Compile/Cargo
	@echo cargo install --profile $(CARGO_PKG_PROFILE) $(if $(RUST_PKG_FEATURES),--features $(RUST_PKG_FEATURES)) --path $(1) $(2)
endef
define RustBinPackage
called+=RustBinPackage $(1)
endef
