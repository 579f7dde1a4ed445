# What the tests need of OpenWrt's package.mk: it keeps what the package says and makes targets that show it.
define BuildPackage
called+=BuildPackage $(1)
$(eval $(call Package/$(1)))
told:
	@echo 'PKG_NAME=$(PKG_NAME)'
	@echo 'PKG_VERSION=$(PKG_VERSION)'
	@echo 'PKG_RELEASE=$(PKG_RELEASE)'
	@echo 'PKG_BUILD_DEPENDS=$(PKG_BUILD_DEPENDS)'
	@echo 'CARGO_PKG_PROFILE=$(CARGO_PKG_PROFILE)'
	@echo 'RUST_PKG_FEATURES=$(RUST_PKG_FEATURES)'
	@echo 'called=$$(strip $$(called))'
	@echo 'USERID=$$(USERID)'
	@echo 'DEPENDS=$$(DEPENDS)'
	@echo 'conffiles=$$(strip $$(Package/$(1)/conffiles))'
	@printf 'compile='
	$$(Build/Compile)
install:
	$$(call Package/$(1)/install,$(DESTINATION))
prepare:
	$$(Build/Prepare)
endef
