# cmake --install build --prefix /usr/local: the programs, and what runs them.
include(GNUInstallDirs)
install(TARGETS driftseal RUNTIME COMPONENT programs)
if(TARGET driftseal-replay)
  # Finds LibTorch where it was linked; driftseal looks for it beside itself.
  set_target_properties(driftseal-replay PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS driftseal-replay RUNTIME COMPONENT programs)
endif()
if(TARGET driftseal_cuda)
  # Beside the programs, which load it by its path.
  install(TARGETS driftseal_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT cuda)
endif()
install(FILES deploy/driftseal.toml deploy/driftseal.service deploy/kubernetes.yaml deploy/grafana-dashboard.json
  deploy/prometheus-alerts.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/driftseal COMPONENT programs)
