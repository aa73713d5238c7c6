"""Small PhysiCell projects for the tests."""

from pathlib import Path

SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<PhysiCell_settings version="1.14">
  <domain>
    <x_min>-50</x_min><x_max>50</x_max><y_min>-50</y_min><y_max>50</y_max><z_min>-10</z_min><z_max>10</z_max>
    <dx>20</dx><dy>20</dy><dz>20</dz><use_2D>true</use_2D>
  </domain>
  <overall>
    <max_time units="min">120</max_time>
    <dt_diffusion units="min">0.01</dt_diffusion>
    <dt_mechanics units="min">0.1</dt_mechanics>
    <dt_phenotype units="min">6</dt_phenotype>
  </overall>
  <save><folder>output</folder><full_data><interval units="min">60</interval><enable>true</enable></full_data></save>
  <options><virtual_wall_at_domain_edge>true</virtual_wall_at_domain_edge><random_seed>7</random_seed></options>
  <microenvironment_setup>
    <variable name="oxygen" units="mmHg" ID="0">
      <physical_parameter_set>
        <diffusion_coefficient>1000</diffusion_coefficient><decay_rate>0.1</decay_rate>
      </physical_parameter_set>
      <initial_condition>38</initial_condition>
      <Dirichlet_boundary_condition enabled="true">38</Dirichlet_boundary_condition>
      <Dirichlet_options><boundary_value ID="ymin" enabled="false">0</boundary_value></Dirichlet_options>
    </variable>
    <variable name="pro-inflammatory factor" units="dimensionless" ID="1">
      <physical_parameter_set>
        <diffusion_coefficient>100</diffusion_coefficient><decay_rate>1</decay_rate>
      </physical_parameter_set>
      <initial_condition>0</initial_condition>
    </variable>
    <options>{options}</options>
  </microenvironment_setup>
  <cell_definitions>{definitions}</cell_definitions>
  <initial_conditions>
    <cell_positions type="csv" enabled="true"><folder>./config</folder><filename>cells.csv</filename></cell_positions>
  </initial_conditions>
  <cell_rules><rulesets>
    <ruleset protocol="CBHG" version="3.0" format="csv" enabled="true">
      <folder>./config</folder><filename>cell_rules.csv</filename>
    </ruleset>
  </rulesets></cell_rules>
  <user_parameters><colour type="string">red</colour></user_parameters>
</PhysiCell_settings>
"""

TUMOUR = """
<cell_definition name="tumour cell" ID="0"><phenotype>
  <cycle code="5" name="live"><phase_transition_rates>
    <rate start_index="0" end_index="0" fixed_duration="false">0.001</rate>
  </phase_transition_rates></cycle>
  <death>
    <model code="100" name="apoptosis"><death_rate>0.0001</death_rate>
      <phase_durations><duration index="0" fixed_duration="true">516</duration></phase_durations></model>
    <model code="101" name="necrosis"><death_rate>0.003</death_rate>
      <phase_durations><duration index="0" fixed_duration="true">0</duration>
        <duration index="1" fixed_duration="true">86400</duration></phase_durations></model>
  </death>
  <volume><total>2494</total></volume>
  <motility><speed>0.5</speed><persistence_time>10</persistence_time><migration_bias>0.5</migration_bias>
    <options><enabled>true</enabled>
      <chemotaxis><enabled>true</enabled><substrate>oxygen</substrate><direction>1</direction></chemotaxis>
    </options></motility>
  <secretion><substrate name="oxygen"><secretion_rate>0</secretion_rate><uptake_rate>10</uptake_rate></substrate>
    <substrate name="pro-inflammatory factor"><secretion_rate>2</secretion_rate><secretion_target>5</secretion_target>
    </substrate></secretion>
  <cell_transformations><transformation_rates>
    <transformation_rate name="resting">0.002</transformation_rate>
  </transformation_rates></cell_transformations>
  <cell_integrity><damage_rate>0.5</damage_rate><damage_repair_rate>0.1</damage_repair_rate></cell_integrity>
</phenotype><custom_data><label>3</label></custom_data></cell_definition>
"""
RESTING = """
<cell_definition name="resting" ID="1" parent_type="tumour cell"><phenotype>
  <motility><options><enabled>false</enabled></options></motility>
  <cell_transformations><transformation_rates>
    <transformation_rate name="resting">0</transformation_rate>
  </transformation_rates></cell_transformations>
</phenotype></cell_definition>
"""
KILLER = """
<cell_definition name="CD8 T cell" ID="2"><phenotype>
  <volume><total>1000</total></volume>
  <motility><speed>2</speed><persistence_time>5</persistence_time><migration_bias>0</migration_bias>
    <options><enabled>true</enabled></options></motility>
  <cell_interactions>
    <apoptotic_phagocytosis_rate>0.1</apoptotic_phagocytosis_rate>
    <attack_rates><attack_rate name="tumour cell">0.2</attack_rate></attack_rates>
    <attack_damage_rate>1</attack_damage_rate><attack_duration>30</attack_duration>
  </cell_interactions>
</phenotype></cell_definition>
"""
CYCLING = """
<cell_definition name="cycling" ID="3"><phenotype>
  <cycle code="6" name="Flow cytometry model (separated)"><phase_transition_rates>
    <rate start_index="0" end_index="1" fixed_duration="false">0.003</rate>
    <rate start_index="1" end_index="2" fixed_duration="true">0.0020833333</rate>
    <rate start_index="2" end_index="3" fixed_duration="true">0.0041666667</rate>
    <rate start_index="3" end_index="0" fixed_duration="true">0.0166666667</rate>
  </phase_transition_rates></cycle>
</phenotype></cell_definition>
"""
ALL = TUMOUR + RESTING + KILLER + CYCLING
CELLS = "x,y,z,type\n-40,-40,0,tumour cell\n-39,-40,0,tumour cell\n40,40,0,CD8 T cell\n400,0,0,resting\n0,0,0,cycling\n"


def project(folder: Path, rules: str = "", definitions: str = ALL, cells: str = CELLS, options: str = "") -> Path:
    """Write a project; returns its settings."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    path = config / "PhysiCell_settings.xml"
    path.write_text(SETTINGS.format(definitions=definitions, options=options))
    (config / "cell_rules.csv").write_text(rules)
    (config / "cells.csv").write_text(cells)
    return path
